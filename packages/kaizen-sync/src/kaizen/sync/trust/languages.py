"""Orders in languages other than English: few words, but those of which attacks are made.

Texts and expressions are folded alike, so marks on letters do not count: `Prüfung` is `prufung`.
"""

from __future__ import annotations

_GAP = r"(?:[^\w.:;!?]{1,3}\w{1,30}){0,5}?[^\w.:;!?]{1,3}"

OVERRIDING_ABROAD = (
    (
        rf"\b(?:ignorier\w*|vergiss|vergessen sie|missachte\w*|uberschreib\w*){_GAP}(?:\w*anweisung\w*"
        rf"|instruktion\w*|befehl\w*|vorgaben|regeln|richtlinien|\w*prompts?)"
    ),
    (
        rf"\b(?:ignore[rz]? (?:toutes?|les|tes|vos|ces)|oublie[rz]?|ne (?:suis|suivez|tiens|tenez"
        rf"|respecte[rz]?) pas|outrepasse[rz]?"
        rf"|passe[rz]? outre){_GAP}(?:instructions|consignes?|regles|directives|ordres)"
    ),
    (
        rf"\b(?:ignor[ae]\w*|olvid[ae]\w*|descart[ae]\w*|no sig[ao]s?|haz caso omiso de)"
        rf"{_GAP}(?:instruccion\w*"
        rf"|ordenes|reglas|indicaciones|directrices)"
    ),
    rf"\b(?:ignor[ae]\w*|esque[cç]\w*|desconsider\w*){_GAP}(?:instruc(?:oes|ao)|regras|ordens|diretrizes)",
    rf"\b(?:ignora\w*|dimentica\w*|trascura\w*){_GAP}(?:istruzion\w*|regole|ordini|direttive)",
    rf"\b(?:negeer|vergeet){_GAP}(?:instructies|regels|opdrachten|aanwijzingen)",
    rf"\b(?:zignoruj|ignoruj|zapomnij){_GAP}(?:instrukcj\w*|polecen\w*|zasad\w*)",
    rf"\b(?:проигнориру\w*|игнориру\w*|забудь\w*){_GAP}(?:инструкци\w*|указани\w*|правил\w*|команд\w*)",
    rf"\b(?:onceki|yukaridaki|tum){_GAP}(?:talimat\w*|komut\w*|kural\w*){_GAP}(?:yok say|gormezden gel|unut)",
    rf"\b(?:abaikan|lupakan){_GAP}(?:instruksi|perintah|aturan)",
    r"(?:忽略|无视|無視|忘记|忘記|忘掉|不要遵守|不要理会|不再遵守).{0,12}(?:指令|指示|说明|說明|规则|規則|提示|要求|命令)",
    r"(?:指示|命令|ルール|プロンプト|指令|規則).{0,8}(?:無視|忘れ|従わな)",
    r"(?:지시|명령|규칙|프롬프트).{0,10}(?:무시|잊)",
    r"(?:تجاهل|انس).{0,25}(?:التعليمات|الأوامر|القواعد|تعليمات)",
    r"(?:निर्देश|आदेश|नियम).{0,15}(?:अनदेखा|नज़रअंदाज़|भूल)",
)
WEAKENING_ABROAD = (
    (
        rf"\b(?:deaktivier\w*|umgeh\w*|uberspring\w*|uberging\w*|ubergeh\w*|schalte?\w*|ausschalt\w*"
        rf"|abschalt\w*){_GAP}(?:tls|ssl|\w*zertifikat\w*|\w*prufung\w*"
        r"|authentifizierung|sandbox|\w*sicherheit\w*|\w*verifizierung|\w*freigabe\w*|\w*bestatigung\w*"
        r"|schutz\w*)"
    ),
    (
        rf"\b(?:desactive[rz]?|contourne[rz]?|saute[rz]?|ignore[rz]?){_GAP}(?:tls|ssl|certificats?"
        rf"|verifications?|authentification|securite|bac a sable|controles?|validation)"
    ),
    (
        rf"\b(?:desactiv\w*|deshabilit\w*|omit\w*|salt(?:a|ar|e|arse)|evit[ae]\w*|desativ\w*|pul[ae]r?"
        rf"|disattiv\w*|ignor[ao]\w*){_GAP}(?:tls|ssl|certificad\w*|certificat\w*|verifica\w*"
        r"|autentica\w*|seguridad|seguranca|sicurezza|permis\w*|confirmac\w*)"
    ),
    (
        r"(?<!nicht )(?<!nie )\bohne (?:\w{1,20} ){0,2}?(?:ruckfrage\w*|zustimmung|bestatigung|freigabe"
        r"|\w*prufung|nachfrag\w*|zu fragen|verifizierung|genehmigung)"
    ),
    (
        r"(?<!jamais )(?<!pas )\bsans (?:\w{1,20} ){0,2}?(?:demander|confirmation|verification|verifier"
        r"|autorisation|approbation|consentement)"
    ),
    (
        r"(?<!nunca )(?<!no )\b(?:sin|sem|senza) (?:\w{1,20} ){0,2}?(?:preguntar|confirmac\w*|verifica\w*"
        r"|autoriza\w*|aprobac\w*|consentimiento|perguntar|aprovac\w*|conferma|chiedere)"
    ),
    (
        rf"\b(?:отключ\w*|обойд\w*|обход\w*|пропуст\w*|пропуск\w*){_GAP}(?:tls|ssl|сертификат\w*|проверк\w*"
        rf"|аутентификац\w*|защит\w*|подтвержден\w*)"
    ),
    r"(?:禁用|关闭|關閉|绕过|繞過|跳过|跳過|停用).{0,10}(?:验证|驗證|认证|認證|证书|證書|安全|沙箱|检查|檢查|审核|審核|tls|ssl|权限|確認|确认)",
    r"(?:无需|無需|不用|不必|不要|不需要).{0,4}(?:确认|確認|验证|驗證|批准|询问|詢問|检查|审核|授权)",
    r"(?:検証|認証|確認|承認|セキュリティ|チェック).{0,6}(?:スキップ|無効|省略|回避|せずに|なしで)",
)
REVEALING_ABROAD = (
    (
        rf"\b(?:gib|nenn\w*|send\w*|schick\w*|verrat\w*|zeig\w*|teil\w*|ubermittel\w*"
        rf"|leit\w*){_GAP}(?:\w*passw\w*|kennwort\w*|zugangsdaten|\w*schlussel|geheimnis\w*|\w*token"
        rf"|anmeldedaten)"
    ),
    (
        rf"\b(?:envoie\w*|envoye\w*|donne[rz]?|revele[rz]?|affiche[rz]?|partage[rz]?|communique[rz]?"
        rf"|transmet\w*){_GAP}(?:mots? de passe|identifiants|cles? (?:api|privee\w*|d)|jetons?|secrets?)"
    ),
    (
        rf"\b(?:envi[ae]\w*|revel[ae]\w*|muestr[ae]\w*|mostr\w*|compart\w*|da(?:me|le)?){_GAP}(?:contrasen\w*"
        rf"|claves?|credencia\w*|tokens?|secretos?|senhas?)"
    ),
    rf"\b(?:отправ\w*|покаж\w*|раскр\w*|сообщ\w*){_GAP}(?:парол\w*|ключ\w*|токен\w*|учетн\w* данн\w*)",
    (
        r"(?:发送|發送|泄露|洩露|显示|顯示|告诉|告訴|输出|輸出|分享|提供|发给).{0,12}(?:密码|密碼|密钥|密鑰|凭证|憑證|凭据|令牌|口令)|(?:密码|密碼|密钥|密鑰|凭证"
        r"|令牌).{0,8}(?:发送|發送|发给|告诉|分享)"
    ),
    r"(?:パスワード|トークン|認証情報|秘密鍵|apiキー).{0,10}(?:送信|表示|教え|出力|共有)",
)
