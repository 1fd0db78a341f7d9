// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title Escrow for a trade between two parties and, if they want one, an arbiter.
/// @notice UNAUDITED. Nobody has reviewed this contract for money that you cannot afford to lose.
/// @notice It has no owner, no pause, no upgrade and no constructor argument. Whatever is held for an order can only
/// go to the parties that the order names. Normative text: docs/protocol/escrow.md.
/// @dev An order lives off chain; one storage slot says how far it has come. Each call brings the whole order, and
/// its EIP-712 digest (bound to this chain and this contract) is its id, so a changed field is an unknown order.
contract Escrow is ReentrancyGuardTransient, Multicall {
    using SafeERC20 for IERC20;

    struct Order {
        address buyer;
        address seller;
        /// Zero: no arbiter. A dispute then ends by agreement, or after `rulingWindow` by `defaultSellerBps`.
        address arbiter;
        /// Zero: the chain's own coin.
        address token;
        /// Receives `feeBps` of the price that the seller gets.
        address feeRecipient;
        uint104 amount;
        uint104 buyerDeposit;
        uint104 sellerDeposit;
        uint40 acceptBy;
        /// The release window opens no earlier than this: an event or a stay in the future.
        uint40 notBefore;
        /// Zero: acceptance is dispatch.
        uint32 dispatchWindow;
        uint32 releaseWindow;
        /// Zero: deposits go home together with the price.
        uint32 depositWindow;
        /// Zero, only without an arbiter: no disputes.
        uint32 rulingWindow;
        uint16 feeBps;
        uint16 arbiterFeeBps;
        /// The seller's share of the open price when a dispute's window passes.
        uint16 defaultSellerBps;
        bytes32 termsHash;
    }

    enum Status {
        None,
        Funded,
        Accepted,
        Dispatched,
        Holding,
        Disputed,
        Released,
        Refunded,
        Settled,
        Ruled,
        Defaulted
    }

    /// @dev Totals are gross (before fees) and only grow. In a final status they add up to all that was paid in.
    struct State {
        Status status;
        uint40 deadline;
        uint104 toSeller;
        uint104 toBuyer;
    }

    struct Permit {
        uint256 value;
        uint256 deadline;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    event Funded(
        bytes32 indexed id,
        address indexed buyer,
        address indexed seller,
        address token,
        uint256 amount,
        uint256 buyerDeposit,
        uint256 deadline
    );
    event Accepted(bytes32 indexed id, uint256 deadline);
    event Dispatched(bytes32 indexed id, uint256 deadline);
    event Extended(bytes32 indexed id, uint256 deadline);
    event PartPaid(bytes32 indexed id, uint256 toSeller, uint256 toBuyer);
    event Holding(bytes32 indexed id, uint256 deadline);
    event Disputed(bytes32 indexed id, address indexed by, address indexed arbiter, uint256 deadline);
    event Closed(bytes32 indexed id, Status status, uint256 sellerGot, uint256 buyerGot, uint256 arbiterGot);
    event Credited(address indexed who, address indexed token, uint256 amount);
    event Withdrawn(address indexed who, address indexed token, address to, uint256 amount);

    error BadOrder();
    error BadStatus(Status status);
    error BadSignature();
    error BadValue();
    error BadAmount();
    error TooLate();
    error TooEarly();
    error NotParty();
    error TokenAmountMismatch();
    error LowGas();

    uint256 private constant BPS = 10_000;
    uint256 private constant FEE_BPS_MAX = 1_000;
    uint256 private constant ARBITER_FEE_BPS_MAX = 2_500;
    /// No time in an order may lie further ahead: a slip of the pen must not lock money for a century.
    uint256 private constant AHEAD_MAX = 3650 days;

    /// What a push may burn: enough for a smart wallet's receive hook, and for a token with fees or rebasing shares.
    uint256 private constant NATIVE_PUSH_GAS = 50_000;
    uint256 private constant TOKEN_PUSH_GAS = 300_000;
    /// A call's own price (cold, with value, to a new account), paid before the 63/64 rule cuts the rest.
    uint256 private constant CALL_GAS = 40_000;

    /// ERC-3009 in the two forms that tokens offer.
    bytes4 private constant RECEIVE_BY_PARTS = bytes4(
        keccak256("receiveWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)")
    );
    bytes4 private constant RECEIVE_BY_BYTES =
        bytes4(keccak256("receiveWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)"));

    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant NAME_HASH = keccak256("Souk Escrow");
    bytes32 private constant VERSION_HASH = keccak256("1");
    bytes32 private constant ORDER_TYPEHASH = keccak256(
        "Order(address buyer,address seller,address arbiter,address token,address feeRecipient,"
        "uint104 amount,uint104 buyerDeposit,uint104 sellerDeposit,uint40 acceptBy,uint40 notBefore,"
        "uint32 dispatchWindow,uint32 releaseWindow,uint32 depositWindow,uint32 rulingWindow,"
        "uint16 feeBps,uint16 arbiterFeeBps,uint16 defaultSellerBps,bytes32 termsHash)"
    );
    bytes32 private constant CANCEL_TYPEHASH = keccak256("Cancel(bytes32 id)");
    bytes32 private constant DISPATCH_TYPEHASH = keccak256("Dispatch(bytes32 id)");
    bytes32 private constant RELEASE_TYPEHASH = keccak256("Release(bytes32 id,uint104 total)");
    bytes32 private constant REFUND_TYPEHASH = keccak256("Refund(bytes32 id,uint104 total)");
    bytes32 private constant EXTEND_TYPEHASH = keccak256("Extend(bytes32 id,uint40 deadline)");
    bytes32 private constant DISPUTE_TYPEHASH = keccak256("Dispute(bytes32 id,uint8 status)");
    bytes32 private constant RULE_TYPEHASH = keccak256("Rule(bytes32 id,uint256 sellerTotal)");
    bytes32 private constant SETTLE_TYPEHASH = keccak256("Settle(bytes32 id,uint256 sellerTotal)");
    bytes32 private constant WITHDRAW_TYPEHASH =
        keccak256("Withdraw(address who,address token,address to,uint256 deadline)");

    /// @notice What was refused when it was pushed, and waits for its owner.
    mapping(address who => mapping(address token => uint256 amount)) public credit;

    /// Status, deadline and both totals in one word; never deleted, so that an id is never used twice.
    mapping(bytes32 id => uint256 packed) private _slots;

    // ---------------------------------------------------------------- paying in

    /// @notice Pays for an order from the caller's purse.
    /// @param sellerSig The seller's signature over the order accepts it at once; empty leaves it to {accept}.
    function fund(Order calldata o, bytes calldata sellerSig) external payable nonReentrant returns (bytes32 id) {
        if (msg.value != _nativeDue(o)) revert BadValue();
        id = _open(o, sellerSig);
        _pull(o.token, msg.sender, _buyerDue(o));
        _pullSellerDeposit(o, sellerSig);
    }

    /// @notice Pays for several orders at once. The coin sent must be exactly the sum of those in native coin.
    function fundBatch(Order[] calldata orders, bytes[] calldata sellerSigs) external payable nonReentrant {
        if (orders.length != sellerSigs.length) revert BadOrder();
        uint256 due;
        for (uint256 i = 0; i < orders.length; i++) {
            due += _nativeDue(orders[i]);
            _open(orders[i], sellerSigs[i]);
            _pull(orders[i].token, msg.sender, _buyerDue(orders[i]));
            _pullSellerDeposit(orders[i], sellerSigs[i]);
        }
        if (msg.value != due) revert BadValue();
    }

    /// @notice Pays from the buyer's purse with an ERC-2612 permit, relayed by anyone.
    /// @param buyerSig The buyer's signature over the order; empty if the buyer calls. The permit alone names no order.
    function fundWithPermit(Order calldata o, bytes calldata sellerSig, bytes calldata buyerSig, Permit calldata permit)
        external
        nonReentrant
        returns (bytes32 id)
    {
        if (o.token == address(0)) revert BadValue();
        id = _open(o, sellerSig);
        _authDigest(o.buyer, id, buyerSig);
        // Whoever saw the permit may have used it already: what counts is the allowance it left.
        try IERC20Permit(o.token)
            .permit(o.buyer, address(this), permit.value, permit.deadline, permit.v, permit.r, permit.s) {}
            catch {}
        _pull(o.token, o.buyer, _buyerDue(o));
        _pullSellerDeposit(o, sellerSig);
    }

    /// @notice Pays from the buyer's purse with an ERC-3009 authorization whose nonce is the order's id: one
    /// signature pays and consents. Relayed by anyone.
    function fundWithAuthorization(
        Order calldata o,
        bytes calldata sellerSig,
        uint256 validAfter,
        uint256 validBefore,
        bytes calldata authorization
    ) external nonReentrant returns (bytes32 id) {
        if (o.token == address(0)) revert BadValue();
        id = _open(o, sellerSig);
        uint256 before = IERC20(o.token).balanceOf(address(this));
        _receiveWithAuthorization(o, id, validAfter, validBefore, authorization);
        if (IERC20(o.token).balanceOf(address(this)) != before + _buyerDue(o)) revert TokenAmountMismatch();
        _pullSellerDeposit(o, sellerSig);
    }

    // ---------------------------------------------------------------- the way of an order

    /// @notice The seller takes the order on, and pays the seller's deposit if there is one.
    function accept(Order calldata o, bytes calldata sellerSig) external payable nonReentrant {
        (bytes32 id, State memory s) = _in(o, Status.Funded);
        if (block.timestamp > s.deadline) revert TooLate();
        if (msg.value != (o.token == address(0) ? o.sellerDeposit : 0)) revert BadValue();
        _authDigest(o.seller, id, sellerSig);
        _accept(o, id, s);
        _pull(o.token, o.seller, o.sellerDeposit);
    }

    /// @notice Either party burns an order that is not funded yet, and with it every signature given for it.
    function revoke(Order calldata o) external nonReentrant {
        bytes32 id = orderId(o);
        State memory s = state(id);
        if (s.status != Status.None) revert BadStatus(s.status);
        if (msg.sender != o.seller && msg.sender != o.buyer) revert NotParty();
        s.status = Status.Refunded;
        _save(id, s);
        emit Closed(id, Status.Refunded, 0, 0, 0);
    }

    /// @notice The buyer leaves before the seller has accepted.
    function cancel(Order calldata o, bytes calldata buyerSig) external nonReentrant {
        (bytes32 id, State memory s) = _in(o, Status.Funded);
        _auth(o.buyer, keccak256(abi.encode(CANCEL_TYPEHASH, id)), buyerSig);
        _finish(o, id, s, Status.Refunded, 0, 0);
    }

    /// @notice The seller has sent the thing or begun the work: the buyer's time to object runs.
    function dispatch(Order calldata o, bytes calldata sellerSig) external nonReentrant {
        (bytes32 id, State memory s) = _in(o, Status.Accepted);
        if (block.timestamp > s.deadline) revert TooLate();
        _auth(o.seller, keccak256(abi.encode(DISPATCH_TYPEHASH, id)), sellerSig);
        _dispatch(o, id, s);
        _save(id, s);
    }

    /// @notice The buyer lets the seller have `total` of the price, counted from the beginning: an older voucher pays
    /// nothing more. Above what is open it means all of it. In Holding and Disputed a buyer who left no deposit may
    /// let the seller's deposit go home in the same way.
    function release(Order calldata o, uint104 total, bytes calldata buyerSig) external nonReentrant {
        (bytes32 id, State memory s) = _live(o);
        _auth(o.buyer, keccak256(abi.encode(RELEASE_TYPEHASH, id, total)), buyerSig);
        uint256 price = _priceOpen(o, s);
        bool late = s.status == Status.Holding || s.status == Status.Disputed;
        uint256 more = _step(total, s.toSeller, late && o.buyerDeposit == 0 ? _held(o, s) : price);
        if (!late && more == price) return _completePrice(o, id, s, price);
        if (more == _held(o, s)) return _finish(o, id, s, Status.Released, more, 0);
        _partPay(o, id, s, more, 0);
    }

    /// @notice The seller lets the buyer have `total` of the price back, counted from the beginning. In Holding and
    /// Disputed a seller who left no deposit may let the buyer's deposit go home in the same way.
    function refund(Order calldata o, uint104 total, bytes calldata sellerSig) external nonReentrant {
        (bytes32 id, State memory s) = _live(o);
        _auth(o.seller, keccak256(abi.encode(REFUND_TYPEHASH, id, total)), sellerSig);
        uint256 price = _priceOpen(o, s);
        bool holding = s.status == Status.Holding;
        bool late = holding || s.status == Status.Disputed;
        uint256 more = _step(total, s.toBuyer, late && o.sellerDeposit == 0 ? _held(o, s) : price);
        if (!late && more == price) return _finish(o, id, s, Status.Refunded, _sellerDepositHeld(o, s), 0);
        if (more == _held(o, s)) return _finish(o, id, s, holding ? Status.Released : Status.Refunded, 0, 0);
        _partPay(o, id, s, 0, more);
    }

    /// @notice The party whom the running clock favours gives the other more time.
    function extend(Order calldata o, uint40 deadline, bytes calldata sig) external nonReentrant {
        (bytes32 id, State memory s) = _live(o);
        if (s.status == Status.Disputed) revert BadStatus(s.status);
        if (block.timestamp > s.deadline) revert TooLate();
        if (deadline <= s.deadline) revert TooEarly();
        if (deadline > block.timestamp + AHEAD_MAX) revert TooLate();
        _auth(_favoured(o, s.status), keccak256(abi.encode(EXTEND_TYPEHASH, id, deadline)), sig);
        s.deadline = deadline;
        _save(id, s);
        emit Extended(id, deadline);
    }

    /// @notice Either party stops the clock while the thing is under way, or while a deposit is held.
    /// @param by Who objects: the buyer or the seller. The signature is bound to the status it objects to.
    function dispute(Order calldata o, address by, bytes calldata sig) external nonReentrant {
        (bytes32 id, State memory s) = _live(o);
        if (s.status != Status.Dispatched && s.status != Status.Holding) revert BadStatus(s.status);
        if (block.timestamp > s.deadline) revert TooLate();
        if (o.rulingWindow == 0) revert BadOrder();
        if (by != o.buyer && by != o.seller) revert NotParty();
        _auth(by, keccak256(abi.encode(DISPUTE_TYPEHASH, id, s.status)), sig);
        s.status = Status.Disputed;
        s.deadline = uint40(block.timestamp + o.rulingWindow);
        _save(id, s);
        emit Disputed(id, by, o.arbiter, s.deadline);
    }

    /// @notice The arbiter ends a dispute.
    /// @param sellerTotal What the seller gets in all, with all that was released before and the seller's own deposit.
    /// A total that a later release or refund has overtaken is moved to the nearest possible one.
    function rule(Order calldata o, uint256 sellerTotal, bytes calldata arbiterSig) external nonReentrant {
        (bytes32 id, State memory s) = _in(o, Status.Disputed);
        if (block.timestamp > s.deadline) revert TooLate();
        _auth(o.arbiter, keccak256(abi.encode(RULE_TYPEHASH, id, sellerTotal)), arbiterSig);
        _finish(o, id, s, Status.Ruled, _share(o, s, sellerTotal), o.arbiterFeeBps);
    }

    /// @notice Both parties end the order with any split. `sellerTotal` counts as in {rule}.
    function settle(Order calldata o, uint256 sellerTotal, bytes calldata buyerSig, bytes calldata sellerSig)
        external
        nonReentrant
    {
        (bytes32 id, State memory s) = _live(o);
        bytes32 structHash = keccak256(abi.encode(SETTLE_TYPEHASH, id, sellerTotal));
        _auth(o.buyer, structHash, buyerSig);
        _auth(o.seller, structHash, sellerSig);
        _finish(o, id, s, Status.Settled, _share(o, s, sellerTotal), 0);
    }

    /// @notice Anyone carries out what the order says for the case that its deadline passes.
    function timeout(Order calldata o) external nonReentrant {
        (bytes32 id, State memory s) = _live(o);
        if (block.timestamp <= s.deadline) revert TooEarly();
        uint256 price = _priceOpen(o, s);
        if (s.status == Status.Dispatched) return _completePrice(o, id, s, price);
        if (s.status == Status.Holding) {
            return _finish(o, id, s, Status.Released, _sellerDepositHeld(o, s), 0);
        }
        if (s.status == Status.Disputed) {
            uint256 share = price * o.defaultSellerBps / BPS;
            return _finish(o, id, s, Status.Defaulted, share + _sellerDepositHeld(o, s), 0);
        }
        // Funded, or Accepted and never dispatched: all to the buyer, with the seller's deposit.
        _finish(o, id, s, Status.Refunded, 0, 0);
    }

    // ---------------------------------------------------------------- credits

    /// @notice The owner of a credit takes it, to any address.
    function withdraw(address token, address to) external nonReentrant returns (uint256 amount) {
        return _withdraw(msg.sender, token, to);
    }

    /// @notice The same by signature. Until `deadline` the signature also serves for later credits in this token.
    function withdrawFor(address who, address token, address to, uint256 deadline, bytes calldata sig)
        external
        nonReentrant
        returns (uint256 amount)
    {
        if (block.timestamp > deadline) revert TooLate();
        _auth(who, keccak256(abi.encode(WITHDRAW_TYPEHASH, who, token, to, deadline)), sig);
        return _withdraw(who, token, to);
    }

    // ---------------------------------------------------------------- views

    /// @notice The EIP-712 digest of an order on this chain and this contract. The seller's signature over it is the
    /// acceptance, the buyer's is the consent to be charged.
    function orderId(Order calldata o) public view returns (bytes32 id) {
        bytes32 typeHash = ORDER_TYPEHASH;
        bytes32 structHash;
        // The eighteen words as they came: dearer to check one by one here, and {_checkOrder} reads every field, which
        // refuses one with bits beyond its type. So no such order is ever funded, and its id stays unknown.
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, typeHash)
            calldatacopy(add(words, 32), o, 576)
            structHash := keccak256(words, 608)
        }
        return _digest(structHash);
    }

    function state(bytes32 id) public view returns (State memory s) {
        uint256 packed = _slots[id];
        s.status = Status(uint8(packed));
        s.deadline = uint40(packed >> 8);
        s.toSeller = uint104(packed >> 48);
        s.toBuyer = uint104(packed >> 152);
    }

    /// @notice What this contract holds for an order, without credits.
    function held(Order calldata o) external view returns (uint256 amount) {
        State memory s = state(orderId(o));
        return _isLive(s.status) ? _held(o, s) : 0;
    }

    // ---------------------------------------------------------------- steps

    function _open(Order calldata o, bytes calldata sellerSig) private returns (bytes32 id) {
        id = orderId(o);
        uint256 packed = _slots[id];
        if (packed != 0) revert BadStatus(Status(uint8(packed)));
        _checkOrder(o);
        State memory s;
        s.status = Status.Funded;
        s.deadline = o.acceptBy;
        emit Funded(id, o.buyer, o.seller, o.token, o.amount, o.buyerDeposit, o.acceptBy);
        if (sellerSig.length == 0) {
            _save(id, s);
        } else {
            if (!_isSignedBy(o.seller, id, sellerSig)) revert BadSignature();
            _accept(o, id, s);
        }
    }

    function _accept(Order calldata o, bytes32 id, State memory s) private {
        s.status = Status.Accepted;
        s.deadline = uint40(block.timestamp + (o.dispatchWindow == 0 ? _untilRelease(o) : o.dispatchWindow));
        emit Accepted(id, s.deadline);
        if (o.dispatchWindow == 0) _dispatch(o, id, s);
        _save(id, s);
    }

    function _dispatch(Order calldata o, bytes32 id, State memory s) private {
        s.status = Status.Dispatched;
        s.deadline = uint40(block.timestamp + _untilRelease(o));
        emit Dispatched(id, s.deadline);
    }

    /// The rest of the price goes to the seller; what is left are deposits, held for their window or sent home.
    function _completePrice(Order calldata o, bytes32 id, State memory s, uint256 price) private {
        bool holds = o.depositWindow != 0 && s.status != Status.Funded && _held(o, s) > price;
        if (!holds) return _finish(o, id, s, Status.Released, price + _sellerDepositHeld(o, s), 0);
        uint256 fee = _fee(o, s.toSeller, price);
        s.toSeller += uint104(price);
        s.status = Status.Holding;
        s.deadline = uint40(_latest(block.timestamp, o.notBefore) + o.depositWindow);
        _save(id, s);
        emit PartPaid(id, s.toSeller, s.toBuyer);
        emit Holding(id, s.deadline);
        _pay(o.token, o.seller, price - fee);
        _pay(o.token, o.feeRecipient, fee);
    }

    function _partPay(Order calldata o, bytes32 id, State memory s, uint256 sellerMore, uint256 buyerMore) private {
        uint256 price = _priceOpen(o, s);
        uint256 fee = _fee(o, s.toSeller, sellerMore < price ? sellerMore : price);
        s.toSeller += uint104(sellerMore);
        s.toBuyer += uint104(buyerMore);
        _save(id, s);
        emit PartPaid(id, s.toSeller, s.toBuyer);
        _pay(o.token, o.seller, sellerMore - fee);
        _pay(o.token, o.buyer, buyerMore);
        _pay(o.token, o.feeRecipient, fee);
    }

    /// Ends the order: `sellerMore` of what is held to the seller, the rest to the buyer, each less the arbiter's part.
    function _finish(
        Order calldata o,
        bytes32 id,
        State memory s,
        Status status,
        uint256 sellerMore,
        uint256 arbiterBps
    ) private {
        uint256 buyerMore = _held(o, s) - sellerMore;
        uint256 fee = _closingFee(o, s, sellerMore);
        s.status = status;
        s.deadline = 0;
        s.toSeller += uint104(sellerMore);
        s.toBuyer += uint104(buyerMore);
        _save(id, s);
        uint256 sellerCut = sellerMore * arbiterBps / BPS;
        uint256 buyerCut = buyerMore * arbiterBps / BPS;
        _payOut(o, id, status, sellerMore - sellerCut - fee, buyerMore - buyerCut, sellerCut + buyerCut, fee);
    }

    function _payOut(
        Order calldata o,
        bytes32 id,
        Status status,
        uint256 seller,
        uint256 buyer,
        uint256 arbiter,
        uint256 fee
    ) private {
        emit Closed(id, status, seller, buyer, arbiter);
        _pay(o.token, o.seller, seller);
        _pay(o.token, o.buyer, buyer);
        _pay(o.token, o.arbiter, arbiter);
        _pay(o.token, o.feeRecipient, fee);
    }

    // ---------------------------------------------------------------- amounts

    /// How much a running total adds to what was paid before, at most `most`.
    function _step(uint256 total, uint256 paid, uint256 most) private pure returns (uint256 more) {
        more = total > paid ? total - paid : 0;
        if (more > most) more = most;
        if (more == 0) revert BadAmount();
    }

    /// What of the held money the seller gets, so that the seller's total is as near to `sellerTotal` as can be.
    function _share(Order calldata o, State memory s, uint256 sellerTotal) private pure returns (uint256 more) {
        uint256 open = _held(o, s);
        if (sellerTotal > open + s.toSeller + s.toBuyer) revert BadAmount();
        more = sellerTotal > s.toSeller ? sellerTotal - s.toSeller : 0;
        if (more > open) more = open;
    }

    /// The market's fee is taken from the price only, never from a deposit. Running total, so no rounding adds up.
    function _fee(Order calldata o, uint256 paid, uint256 more) private pure returns (uint256) {
        return (paid + more) * o.feeBps / BPS - paid * o.feeBps / BPS;
    }

    function _closingFee(Order calldata o, State memory s, uint256 sellerMore) private pure returns (uint256) {
        uint256 deposit = _sellerDepositHeld(o, s);
        uint256 price = _priceOpen(o, s);
        if (price == 0 || sellerMore <= deposit) return 0;
        uint256 fromPrice = sellerMore - deposit;
        return _fee(o, s.toSeller, fromPrice < price ? fromPrice : price);
    }

    function _priceOpen(Order calldata o, State memory s) private pure returns (uint256) {
        uint256 paid = uint256(s.toSeller) + s.toBuyer;
        return paid < o.amount ? o.amount - paid : 0;
    }

    /// Only for a live status.
    function _held(Order calldata o, State memory s) private pure returns (uint256) {
        uint256 paidIn = _buyerDue(o) + (s.status == Status.Funded ? 0 : o.sellerDeposit);
        return paidIn - s.toSeller - s.toBuyer;
    }

    /// The seller's part of the deposits still held. A party gives up part of the other's deposit only when it has
    /// none itself, so with two deposits both are whole, and with one the rest is its owner's.
    function _sellerDepositHeld(Order calldata o, State memory s) private pure returns (uint256) {
        if (s.status == Status.Funded || o.sellerDeposit == 0) return 0;
        return o.buyerDeposit == 0 ? _held(o, s) - _priceOpen(o, s) : o.sellerDeposit;
    }

    function _buyerDue(Order calldata o) private pure returns (uint256) {
        unchecked {
            return uint256(o.amount) + o.buyerDeposit;
        }
    }

    function _nativeDue(Order calldata o) private pure returns (uint256) {
        return o.token == address(0) ? _buyerDue(o) : 0;
    }

    // ---------------------------------------------------------------- money in and out

    /// Nothing for native coin, which came with the call.
    function _pull(address token, address from, uint256 amount) private {
        if (token == address(0) || amount == 0) return;
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(from, address(this), amount);
        if (IERC20(token).balanceOf(address(this)) != before + amount) revert TokenAmountMismatch();
    }

    /// With the seller's signature comes the seller's deposit, by allowance. In native coin only {accept} can pay it.
    function _pullSellerDeposit(Order calldata o, bytes calldata sellerSig) private {
        if (sellerSig.length == 0 || o.sellerDeposit == 0) return;
        if (o.token == address(0)) revert BadValue();
        _pull(o.token, o.seller, o.sellerDeposit);
    }

    function _receiveWithAuthorization(
        Order calldata o,
        bytes32 id,
        uint256 validAfter,
        uint256 validBefore,
        bytes calldata authorization
    ) private {
        bool plain = authorization.length == 65;
        bytes memory call = abi.encodeWithSelector(
            plain ? RECEIVE_BY_PARTS : RECEIVE_BY_BYTES,
            o.buyer,
            address(this),
            _buyerDue(o),
            validAfter,
            validBefore,
            id
        );
        // After the six words both forms share: v, r, s; or the offset, length and content of a byte string.
        bytes memory tail = plain
            ? abi.encodePacked(uint256(uint8(authorization[64])), authorization[:64])
            : abi.encodePacked(uint256(7 * 32), authorization.length, authorization);
        Address.functionCall(o.token, bytes.concat(call, tail));
    }

    /// Pushes with capped gas and reads no more than one word back; what is refused becomes a credit.
    function _pay(address token, address to, uint256 amount) private {
        if (amount == 0) return;
        if (!(token == address(0) ? _sendNative(to, amount) : _sendToken(token, to, amount))) {
            credit[to][token] += amount;
            emit Credited(to, token, amount);
        }
    }

    function _sendNative(address to, uint256 amount) private returns (bool ok) {
        _needGas(NATIVE_PUSH_GAS);
        uint256 cap = NATIVE_PUSH_GAS;
        assembly ("memory-safe") {
            ok := call(cap, to, amount, 0, 0, 0, 0)
        }
    }

    function _sendToken(address token, address to, uint256 amount) private returns (bool ok) {
        _needGas(TOKEN_PUSH_GAS);
        bytes memory data = abi.encodeCall(IERC20.transfer, (to, amount));
        uint256 cap = TOKEN_PUSH_GAS;
        assembly ("memory-safe") {
            mstore(0, 0)
            ok := call(cap, token, 0, add(data, 32), mload(data), 0, 32)
            switch returndatasize()
            case 0 { ok := and(ok, gt(extcodesize(token), 0)) }
            default { ok := and(ok, and(gt(returndatasize(), 31), eq(mload(0), 1))) }
        }
    }

    /// A caller must not turn a payment into a credit by giving the push too little gas.
    function _needGas(uint256 cap) private view {
        if (gasleft() < CALL_GAS + cap * 64 / 63) revert LowGas();
    }

    function _withdraw(address who, address token, address to) private returns (uint256 amount) {
        if (to == address(0) || to == address(this)) revert BadValue();
        amount = credit[who][token];
        if (amount == 0) revert BadAmount();
        credit[who][token] = 0;
        emit Withdrawn(who, token, to, amount);
        if (token == address(0)) Address.sendValue(payable(to), amount);
        else IERC20(token).safeTransfer(to, amount);
    }

    // ---------------------------------------------------------------- checks

    function _checkOrder(Order calldata o) private view {
        if (block.timestamp > o.acceptBy) revert TooLate();
        if (!_partiesAreSound(o) || !_amountsAreSound(o) || !_timesAreSound(o)) revert BadOrder();
    }

    function _partiesAreSound(Order calldata o) private view returns (bool) {
        if (o.buyer == address(0) || o.seller == address(0) || o.buyer == o.seller) return false;
        if (o.arbiter == o.buyer || o.arbiter == o.seller) return false;
        if (o.buyer == address(this) || o.seller == address(this) || o.arbiter == address(this)) return false;
        return o.feeRecipient != address(this) && o.token != address(this);
    }

    /// The sum of all that can be paid in fits the totals' 104 bits.
    function _amountsAreSound(Order calldata o) private pure returns (bool) {
        if (o.amount == 0 || _buyerDue(o) + o.sellerDeposit > type(uint104).max) return false;
        if (o.feeBps > FEE_BPS_MAX || (o.feeBps != 0 && o.feeRecipient == address(0))) return false;
        if (o.arbiterFeeBps > ARBITER_FEE_BPS_MAX || (o.arbiterFeeBps != 0 && o.arbiter == address(0))) return false;
        return o.defaultSellerBps <= BPS;
    }

    function _timesAreSound(Order calldata o) private view returns (bool) {
        uint256 latest = block.timestamp + AHEAD_MAX;
        if (o.acceptBy > latest || o.notBefore > latest) return false;
        if (o.releaseWindow == 0 || (o.rulingWindow == 0 && o.arbiter != address(0))) return false;
        if (o.dispatchWindow > AHEAD_MAX || o.releaseWindow > AHEAD_MAX) return false;
        return o.depositWindow <= AHEAD_MAX && o.rulingWindow <= AHEAD_MAX;
    }

    /// Whom the running clock favours: the one who gets the money when it runs out. Nobody when both have deposits.
    function _favoured(Order calldata o, Status status) private pure returns (address) {
        if (status == Status.Funded || status == Status.Accepted) return o.buyer;
        if (status == Status.Dispatched) return o.seller;
        if (o.sellerDeposit == 0) return o.buyer;
        return o.buyerDeposit == 0 ? o.seller : address(0);
    }

    function _untilRelease(Order calldata o) private view returns (uint256) {
        return _latest(block.timestamp, o.notBefore) - block.timestamp + o.releaseWindow;
    }

    function _latest(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a : b;
    }

    // ---------------------------------------------------------------- signatures

    /// An empty signature stands for the caller's own.
    function _auth(address who, bytes32 structHash, bytes calldata sig) private view {
        _authDigest(who, sig.length == 0 ? bytes32(0) : _digest(structHash), sig);
    }

    function _authDigest(address who, bytes32 digest, bytes calldata sig) private view {
        if (sig.length == 0) {
            if (msg.sender != who) revert NotParty();
        } else if (!_isSignedBy(who, digest, sig)) {
            revert BadSignature();
        }
    }

    /// Recovery first, so that an account which delegated its code (EIP-7702) can still sign plainly; then ERC-1271.
    function _isSignedBy(address who, bytes32 digest, bytes calldata sig) private view returns (bool) {
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecoverCalldata(digest, sig);
        if (failure == ECDSA.RecoverError.NoError && signer == who) return true;
        return who.code.length != 0 && SignatureChecker.isValidERC1271SignatureNowCalldata(who, digest, sig);
    }

    /// Computed at each call: a cached separator would be an immutable, and the code's hash differ from chain to chain.
    function _digest(bytes32 structHash) private view returns (bytes32 digest) {
        (bytes32 typeHash, bytes32 name, bytes32 version) = (DOMAIN_TYPEHASH, NAME_HASH, VERSION_HASH);
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, typeHash)
            mstore(add(words, 32), name)
            mstore(add(words, 64), version)
            mstore(add(words, 96), chainid())
            mstore(add(words, 128), address())
            // 0x19 0x01, the domain's hash, the struct's hash: from the last two bytes of the first word on.
            let domain := keccak256(words, 160)
            mstore(words, 0x1901)
            mstore(add(words, 32), domain)
            mstore(add(words, 64), structHash)
            digest := keccak256(add(words, 30), 66)
        }
    }

    // ---------------------------------------------------------------- the slot

    function _in(Order calldata o, Status status) private view returns (bytes32 id, State memory s) {
        id = orderId(o);
        s = state(id);
        if (s.status != status) revert BadStatus(s.status);
    }

    function _live(Order calldata o) private view returns (bytes32 id, State memory s) {
        id = orderId(o);
        s = state(id);
        if (!_isLive(s.status)) revert BadStatus(s.status);
    }

    function _isLive(Status status) private pure returns (bool) {
        return status >= Status.Funded && status <= Status.Disputed;
    }

    function _save(bytes32 id, State memory s) private {
        _slots[id] =
            uint256(s.status) | uint256(s.deadline) << 8 | uint256(s.toSeller) << 48 | uint256(s.toBuyer) << 152;
    }
}
